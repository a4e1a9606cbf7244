locals {
  day_ms = 24 * 60 * 60 * 1000

  zones = {
    raw       = "Change events as they came: append-only, at least once. Written by the ingester."
    structure = "One row per key of each source table: decoded, cast, deduplicated, in source order."
    snapshots = "History of slowly changing rows (SCD2)."
    refined   = "Members as the business sees them: cleaned and joined over sources."
    analytics = "Marts: features, dimensions, facts."
    audit     = "What the parts say about their own runs: dead letters, runs, reconciliation."
  }

  # BigQuery counts from the start of a partition, and does not ask whether structure has applied its rows; maintenance
  # does, by whole days of rows. So a contract's retention never sets off BigQuery's clock, and where the variable does, it
  # goes a day behind what the contract says. A month's partition begins up to 31 days before its last row.
  raw_expiration_days = {
    for name, table in var.raw_tables : name => var.raw_partition_expiration_days == null ? null : (
      max(var.raw_partition_expiration_days, table.retention_days == null ? 0 : table.retention_days + 1)
      + (table.partition_by == "month" ? 31 : 0)
    )
  }

  audit_tables = {
    dead_letters = {
      description  = "Messages the ingester could not land, whole, with the reason. Append-only."
      partition_by = "dead_lettered_at"
      clustering   = ["reason"]
    }
    dead_letter_replays = {
      description  = "Dead letters that were sent again, or landed out of files: one row each, written once that was confirmed. Append-only."
      partition_by = "replayed_at"
      clustering   = ["event_id"]
    }
    loaded_files = {
      description  = "Objects that were loaded: one row each, written once every row of the object was landed or dead-lettered. Append-only."
      partition_by = "loaded_at"
      clustering   = ["uri"]
    }
    reconciliation_columns = {
      description  = "One row for each compared column of each comparison; append-only."
      partition_by = "started_at"
      clustering   = null
    }
    reconciliation_differences = {
      description  = "The first differences of each kind of each comparison, personal values masked; append-only."
      partition_by = "started_at"
      clustering   = null
    }
    reconciliation_repairs = {
      description  = "One row for each correction that was published, and each statement that was applied; append-only."
      partition_by = "repaired_at"
      clustering   = null
    }
    reconciliation_runs = {
      description  = "One row for each comparison of the warehouse with a snapshot; append-only."
      partition_by = "started_at"
      clustering   = null
    }
    schema_drift = {
      description  = "Fields of payloads that do not fit their contract; once a run for each set of field names. Append-only."
      partition_by = "first_seen"
      clustering   = ["table_name", "field"]
    }
    watermarks = {
      description  = "Event-time progress of each table, by each process of the ingester that lands it, once a window. Append-only."
      partition_by = "reported_at"
      clustering   = ["table_name"]
    }
  }
}

resource "google_bigquery_dataset" "zone" {
  for_each = local.zones

  project                    = var.project
  dataset_id                 = each.key
  description                = each.value
  location                   = var.location
  max_time_travel_hours      = tostring(var.time_travel_hours)
  delete_contents_on_destroy = !var.deletion_protection
  labels                     = merge(var.labels, { zone = each.key })
}

resource "google_bigquery_table" "raw" {
  for_each = var.raw_tables

  project                  = var.project
  dataset_id               = google_bigquery_dataset.zone[each.value.dataset].dataset_id
  table_id                 = each.key
  description              = each.value.description
  schema                   = file("${path.module}/raw_row.json")
  clustering               = each.value.cluster_by
  require_partition_filter = var.require_partition_filter || each.value.require_partition_filter
  deletion_protection      = var.deletion_protection
  labels                   = merge(var.labels, { zone = "raw", owner = each.value.owner })

  time_partitioning {
    type          = upper(each.value.partition_by)
    field         = "_ingestion_ts"
    expiration_ms = local.raw_expiration_days[each.key] == null ? null : local.raw_expiration_days[each.key] * local.day_ms
  }
}

resource "google_bigquery_table" "audit" {
  for_each = local.audit_tables

  project             = var.project
  dataset_id          = google_bigquery_dataset.zone["audit"].dataset_id
  table_id            = each.key
  description         = each.value.description
  schema              = file("${path.module}/${each.key}.json")
  clustering          = each.value.clustering
  deletion_protection = var.deletion_protection
  labels              = merge(var.labels, { zone = "audit" })

  time_partitioning {
    type  = "DAY"
    field = each.value.partition_by
  }
}
