"""What a client's calls are: `client.chat.completions` and `client.responses`, in both colours.

A room for each family, imported when it is first asked for: with its hundreds of types
it is most of what a client costs to import.
"""
