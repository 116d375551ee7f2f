"""The demonstration: sixty fictional cases through the whole flow, with a service killed on the way, and every
effect checked.

The people in it are a scripted client (``desk``, ``caseworker``, ``provider``) that knows only the public HTTP APIs
and the mail. What a spectator sees comes from the events on the topics (``watch``).
"""
