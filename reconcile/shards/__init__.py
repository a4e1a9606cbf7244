"""One run in many tasks: cut by ranges of keys, each part resumable, merged by whoever ends last."""
