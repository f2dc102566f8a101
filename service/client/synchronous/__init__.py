"""The blocking client: made from the asyncio one by ``service.client.twin``, except ``threads.py``."""
