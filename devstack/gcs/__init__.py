"""A local Cloud Storage: the part of its JSON API that reads, writes, lists and tells of objects.

See https://cloud.google.com/storage/docs/json_api/v1. Objects have generations and preconditions hold; notifications go
to Pub/Sub as https://cloud.google.com/storage/docs/pubsub-notifications says. It checks no credentials.
"""

from devstack.gcs.server import running_gcs

__all__ = ["running_gcs"]
