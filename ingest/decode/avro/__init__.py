"""Avro values of messages: which schema they were written by, and what Kafka Connect's JSON would have said instead.

| module | knows |
| --- | --- |
| `wire` | the three ways a message says its schema |
| `blocks` | the blocks of an object container file, and their compression |
| `schemas` | a schema, as Avro's reader and as Kafka Connect understand it |
| `registry` | the service that keeps schemas by number |
| `values` | values as the JSON converter writes them |
"""
