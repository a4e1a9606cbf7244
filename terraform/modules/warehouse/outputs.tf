output "datasets" {
  description = "Dataset ids by zone."
  value       = { for zone, dataset in google_bigquery_dataset.zone : zone => dataset.dataset_id }
}

output "raw_tables" {
  description = "Names of the raw tables."
  value       = toset([for table in google_bigquery_table.raw : table.table_id])
}

output "longest_raw_expiration_days" {
  description = "After how many days the last raw table drops a partition; null when none does."
  value       = var.raw_partition_expiration_days == null ? null : max(var.raw_partition_expiration_days, values(local.raw_expiration_days)...)
}
