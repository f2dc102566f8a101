"""Target chips: rules, placement of formats, pins and cost."""
