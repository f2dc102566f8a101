"""Webhooks: telling other systems of a tenant's studies, signed as Standard Webhooks; off unless switched on."""
