// The report: everything is in the page.

import { setCharts } from "./charts.js";
import { startFilter, startSwitches, startTables, startTheme } from "./page.js";

setCharts(JSON.parse(document.getElementById("report-data").textContent));
startSwitches();
startTables();
startFilter();
startTheme();
