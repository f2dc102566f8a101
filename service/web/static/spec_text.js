// A job spec as text: YAML for files, a curl command, and Python with the client.

const PLAIN = /^[A-Za-z_][A-Za-z0-9_./:@-]*$/;
const WORDS = new Set(["true", "false", "yes", "no", "on", "off", "null", "y", "n"]);

// A text as YAML. JSON's quotes are YAML's; a plain text must not read as something else.
function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return PLAIN.test(value) && !WORDS.has(value.toLowerCase()) && !value.endsWith(":") && !value.includes(": ") ? value : JSON.stringify(value);
}

const isEmpty = (value) => value !== null && typeof value === "object" && Object.keys(value).length === 0;

function lines(value, indent) {
  const space = " ".repeat(indent);
  if (Array.isArray(value)) {
    return value.flatMap((one) => {
      if (one === null || typeof one !== "object" || isEmpty(one)) return [`${space}- ${scalar(one)}`];
      const [first, ...rest] = lines(one, indent + 2);
      return [`${space}- ${first.trimStart()}`, ...rest];
    });
  }
  return Object.entries(value).flatMap(([key, one]) => {
    const name = `${space}${scalar(key)}:`;
    if (one === null || typeof one !== "object" || isEmpty(one)) return [`${name} ${scalar(one)}`];
    return [name, ...lines(one, indent + 2)];
  });
}

export const yaml = (spec) => `${lines(spec, 0).join("\n")}\n`;

const shell = (text) => `'${text.replace(/'/g, `'\\''`)}'`;

export function curl(spec, name) {
  const query = name ? `?name=${encodeURIComponent(name)}` : "";
  return [
    `curl ${shell(`${location.origin}/v1/studies${query}`)} \\`,
    `  -H "Authorization: Bearer $BITBUDGET_API_KEY" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  --data-raw ${shell(JSON.stringify(spec, null, 2))}`,
  ].join("\n");
}

// JSON as Python: the two differ in three words.
function python_value(value, indent = 0) {
  const space = " ".repeat(indent + 4);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  if (isEmpty(value)) return isList ? "[]" : "{}";
  const inner = isList
    ? value.map((one) => `${space}${python_value(one, indent + 4)},`)
    : Object.entries(value).map(([key, one]) => `${space}${JSON.stringify(key)}: ${python_value(one, indent + 4)},`);
  return `${isList ? "[" : "{"}\n${inner.join("\n")}\n${" ".repeat(indent)}${isList ? "]" : "}"}`;
}

export function python(spec, name) {
  return [
    "import os",
    "",
    "from service.client import Client",
    "",
    `spec = ${python_value(spec)}`,
    "",
    `with Client(${JSON.stringify(location.origin)}, os.environ["BITBUDGET_API_KEY"]) as client:`,
    `    study = client.studies.submit(spec${name ? `, name=${JSON.stringify(name)}` : ""})`,
    "    study = client.studies.wait(study.id)",
    `    client.studies.download(study.id, "out")`,
    "    print(study.outcome)",
  ].join("\n");
}
