"""Google Pub/Sub on one machine: an in-memory server that speaks the production protocol.

The stock client libraries work against it unchanged with `PUBSUB_EMULATOR_HOST`. What it keeps to, beyond
publishing and pulling: ordering keys, filters, retry and dead-letter policies, exactly-once delivery, flow
control, seeks, snapshots, and push to endpoints on loopback with signed tokens. Schemas are not served.

* `python -m devstack.pubsub --port 0 --port-file FILE` runs it as a process;
* `devstack.pubsub.process.running_server()` does so for the length of a `with` block;
* `devstack.pubsub.server.serve()` runs it in the current event loop.

Inside, `broker` and what it imports are a state machine without I/O to which time is an argument; the gRPC
handlers (`publisher`, `subscriber`, `streaming`) and `push` are a thin layer above it.
"""
