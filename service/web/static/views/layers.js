// The layers of a study.

export { mountLayers as mount } from "../layers.js";
