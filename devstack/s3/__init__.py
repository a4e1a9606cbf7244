"""A local S3: moto's server on loopback."""

from devstack.s3.server import S3Address, running_s3

__all__ = ["S3Address", "running_s3"]
