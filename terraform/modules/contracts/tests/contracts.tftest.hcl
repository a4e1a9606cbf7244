variables {
  path = "./tests/contracts"
}

run "a_contract_says_how_its_table_is_laid_out" {
  command = plan

  assert {
    condition     = output.tables["carts"].partition_by == "hour" && join(",", output.tables["carts"].cluster_by) == "_op,_key"
    error_message = "Partitions and clusters are the contract's."
  }

  assert {
    condition     = output.tables["carts"].retention_days == 30 && output.tables["carts"].require_partition_filter
    error_message = "Retention and the required filter are the contract's."
  }

  assert {
    condition     = output.tables["shops"].partition_by == "day" && join(",", output.tables["shops"].cluster_by) == "_key"
    error_message = "A table whose contract says nothing is partitioned by day and clustered by key."
  }

  assert {
    condition     = output.tables["shops"].retention_days == null && !output.tables["shops"].require_partition_filter
    error_message = "A table whose contract says nothing has no retention of its own, and requires no filter."
  }
}
