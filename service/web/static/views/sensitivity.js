// The tables of sensitivity of a study.

export { mountSensitivity as mount } from "../sensitivity.js";
