"""What the ingester says of itself over HTTP: whether it lives, whether it is ready, and its metrics.

`server` serves within the run's own event loop, `app` has the routes, `health` says what is wrong, `catalogue` declares
every metric, `metrics` renders them, `address` decides where to listen, `shared` adds up several processes.
"""
