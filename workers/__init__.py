"""Runs studies as durable jobs; never imports the web stack."""
