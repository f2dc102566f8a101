"""Integer arithmetic as the chip does it: programs of integer steps, an obvious and a fast way to run them."""
