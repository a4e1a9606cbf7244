variables {
  project     = "acme-millrace"
  location    = "EU"
  key_writer  = "serviceAccount:millrace-privacy@acme-millrace.iam.gserviceaccount.com"
  key_readers = { pipeline = "serviceAccount:millrace-pipeline@acme-millrace.iam.gserviceaccount.com" }
}

run "one_may_write_the_key_and_few_may_read_it" {
  command = plan

  assert {
    condition = output.grants == tolist([
      "serviceAccount:millrace-pipeline@acme-millrace.iam.gserviceaccount.com roles/bigquery.dataViewer",
      "serviceAccount:millrace-privacy@acme-millrace.iam.gserviceaccount.com roles/bigquery.dataEditor",
    ])
    error_message = "Nobody else may have a role on the key."
  }

  assert {
    condition     = !google_bigquery_dataset.this.delete_contents_on_destroy && google_bigquery_dataset.this.max_time_travel_hours == "48"
    error_message = "The key must not go by mistake, and one that was replaced must not linger."
  }
}

run "without_protection_it_goes_with_everything_else" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = google_bigquery_dataset.this.delete_contents_on_destroy
    error_message = "Without protection the dataset must go with everything else."
  }
}

run "people_and_everybody_are_refused" {
  command = plan

  variables {
    key_writer  = "user:somebody@acme.example"
    key_readers = { all = "allAuthenticatedUsers" }
  }

  expect_failures = [var.key_writer, var.key_readers]
}
