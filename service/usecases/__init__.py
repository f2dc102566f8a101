"""Use cases: what may be done with studies, uploads, accounts and webhooks; no HTTP."""
