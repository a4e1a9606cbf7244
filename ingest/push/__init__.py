"""Pub/Sub push: messages come as HTTP requests, and the answer to each says whether its row has landed.

`settings` says who may push, `tokens` verifies that it is who it says, `certificates` keeps the keys for that, `body`
reads no more than it must, `envelope` makes messages of requests, `transport` waits for their rows, `endpoint` ties it
together.
"""
