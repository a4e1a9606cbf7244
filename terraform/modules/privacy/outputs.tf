output "dataset" {
  description = "Id of the dataset that holds the key."
  value       = google_bigquery_dataset.this.dataset_id
}

output "grants" {
  description = "Who may do what with the key, for review."
  value = sort(concat(
    ["${var.key_writer} ${google_bigquery_dataset_iam_member.writer.role}"],
    [for grant in google_bigquery_dataset_iam_member.reader : "${grant.member} ${grant.role}"],
  ))
}
