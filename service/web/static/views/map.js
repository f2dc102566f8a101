// The precision map of a study.

export { mountMap as mount } from "../map.js";
