"""Layered drawing of a directed graph: layers, order within them, coordinates."""
