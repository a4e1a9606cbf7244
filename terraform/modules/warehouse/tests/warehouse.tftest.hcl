variables {
  project  = "acme-millrace"
  location = "EU"
  raw_tables = {
    members = { dataset = "raw", description = "Members.", owner = "loyalty-data" }
  }
}

run "raw_tables_have_the_raw_row" {
  command = plan

  assert {
    condition     = google_bigquery_table.raw["members"].time_partitioning[0].field == "_ingestion_ts" && google_bigquery_table.raw["members"].time_partitioning[0].type == "DAY"
    error_message = "Raw is partitioned by day of ingestion."
  }

  assert {
    condition     = google_bigquery_table.raw["members"].clustering == tolist(["_key"])
    error_message = "Raw is clustered by key."
  }

  assert {
    condition     = contains([for column in jsondecode(google_bigquery_table.raw["members"].schema) : column.name], "payload")
    error_message = "Raw tables hold the raw row, not the payload's columns."
  }

  assert {
    condition     = google_bigquery_table.raw["members"].time_partitioning[0].expiration_ms == null && google_bigquery_table.raw["members"].deletion_protection
    error_message = "Raw is kept for ever and protected unless asked otherwise."
  }
}

run "a_contract_lays_its_table_out" {
  command = plan

  variables {
    raw_partition_expiration_days = 92
    raw_tables = {
      carts   = { dataset = "raw", description = "Carts.", owner = "us", partition_by = "hour", cluster_by = ["_op", "_key"], retention_days = 30 }
      members = { dataset = "raw", description = "Members.", owner = "us" }
      tiers   = { dataset = "raw", description = "Tiers.", owner = "us", partition_by = "month", retention_days = 400 }
    }
  }

  assert {
    condition     = { for name, table in google_bigquery_table.raw : name => table.time_partitioning[0].type } == { carts = "HOUR", members = "DAY", tiers = "MONTH" }
    error_message = "The contract says what a partition holds."
  }

  assert {
    condition     = google_bigquery_table.raw["carts"].clustering == tolist(["_op", "_key"]) && google_bigquery_table.raw["tiers"].clustering == tolist(["_key"])
    error_message = "The contract says what a raw table is clustered by."
  }

  assert {
    condition     = { for name, table in google_bigquery_table.raw : name => table.time_partitioning[0].expiration_ms / 86400000 } == { carts = 92, members = 92, tiers = 432 }
    error_message = "BigQuery drops no row before its contract's retention is over, with all of its month."
  }

  assert {
    condition     = output.longest_raw_expiration_days == 432
    error_message = "What raw rows point to lasts as long as they do."
  }
}

run "a_contract_sets_off_no_clock_of_bigquery" {
  command = plan

  variables {
    raw_tables = {
      carts = { dataset = "raw", description = "Carts.", owner = "us", retention_days = 30 }
    }
  }

  assert {
    condition     = google_bigquery_table.raw["carts"].time_partitioning[0].expiration_ms == null && output.longest_raw_expiration_days == null
    error_message = "Maintenance keeps a contract's retention: it asks whether rows have been applied."
  }
}

run "layouts_that_bigquery_cannot_have_are_refused" {
  command = plan

  variables {
    raw_tables = {
      carts = { dataset = "raw", description = "Carts.", owner = "us", partition_by = "week" }
    }
  }

  expect_failures = [var.raw_tables]
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    location                      = "Europe"
    raw_partition_expiration_days = 1
    time_travel_hours             = 50
    raw_tables = {
      "members; drop" = { dataset = "raw", description = "Members.", owner = "loyalty-data" }
    }
  }

  expect_failures = [var.location, var.raw_partition_expiration_days, var.time_travel_hours, var.raw_tables]
}
