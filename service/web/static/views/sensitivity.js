// The tables of sensitivity: their charts stand in the page; what is chosen stays in its address.

import { drawAll } from "../charts.js";

export function mount() {
  drawAll();
}
