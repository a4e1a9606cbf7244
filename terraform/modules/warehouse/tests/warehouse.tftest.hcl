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
