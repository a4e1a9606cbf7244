"""The demo: the whole river on local stand-ins, with its own proof."""
