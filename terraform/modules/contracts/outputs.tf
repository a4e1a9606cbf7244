output "tables" {
  description = "What the infrastructure needs of each table, by table name."
  value       = { for table in local.tables : table.name => table }

  precondition {
    condition     = length(local.tables) > 0
    error_message = "No dbt source is declared below ${var.path}."
  }
}

output "table_topics" {
  description = "Pub/Sub topic of each table's change events, by table name."
  value       = { for table in local.tables : table.name => table.topic }
}

output "notification_topics" {
  description = "Distinct topics of notifications that a row changed."
  value       = toset([for table in local.tables : table.notification_topic if table.notification_topic != null])
}
