"""Who is asking: API keys, logins, scopes, and how often they may ask."""
