"""FRAMES <-> TYPED EVENTS: the payloads of server-sent events as typed objects, by msgspec, and back.

    chat         chat completions, with what a stream adds up to and what stands behind `.stream()`
    responses    the same for Responses
    record       what all typed objects are: a reading of one JSON object that loses nothing of it
    parsing      structured output and tools, for both

A family is a module of one shape, which responses/__init__.py tells. No HTTP, no sockets, no clock.
"""
