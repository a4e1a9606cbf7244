"""BigQuery on one machine: bqemulator 1.4.0 with the mends that dbt-bigquery and the ingester need.

Start it from a shell with `python -m devstack.bigquery`, or from a test with `running_bigquery()`:

    >>> with running_bigquery() as address:  # doctest: +SKIP
    ...     print(address.rest_url, address.grpc_target)
"""

from devstack.bigquery.address import BigQueryAddress
from devstack.bigquery.process import TRANSLATIONS, running_bigquery

__all__ = ["TRANSLATIONS", "BigQueryAddress", "running_bigquery"]
