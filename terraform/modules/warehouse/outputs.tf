output "datasets" {
  description = "Dataset ids by zone."
  value       = { for zone, dataset in google_bigquery_dataset.zone : zone => dataset.dataset_id }
}

output "raw_tables" {
  description = "Names of the raw tables."
  value       = toset([for table in google_bigquery_table.raw : table.table_id])
}
