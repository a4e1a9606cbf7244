# Without the key no hash can be made again, and nothing can be joined with what was hashed before.
resource "google_bigquery_dataset" "this" {
  project     = var.project
  dataset_id  = "privacy"
  description = "The key of keyed hashes and tokens. Who reads it can try values until one fits."
  location    = var.location
  # A key that had to be replaced is gone as soon as BigQuery allows.
  max_time_travel_hours      = "48"
  delete_contents_on_destroy = !var.deletion_protection
  labels                     = var.labels
}

resource "google_bigquery_dataset_iam_member" "writer" {
  project    = var.project
  dataset_id = google_bigquery_dataset.this.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = var.key_writer
}

resource "google_bigquery_dataset_iam_member" "reader" {
  for_each = var.key_readers

  project    = var.project
  dataset_id = google_bigquery_dataset.this.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.value
}
