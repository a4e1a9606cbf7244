variables {
  project  = "acme-millrace"
  name     = "acme-millrace-reconcile"
  location = "europe-west1"
}

run "nobody_outside_can_read_it_and_runs_do_not_pile_up" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.uniform_bucket_level_access && google_storage_bucket.this.public_access_prevention == "enforced"
    error_message = "Differences may hold personal data: access goes by roles on the bucket alone, and never to the public."
  }

  assert {
    condition     = google_storage_bucket.this.soft_delete_policy[0].retention_duration_seconds == 0 && !google_storage_bucket.this.versioning[0].enabled
    error_message = "What is deleted must be gone."
  }

  assert {
    condition = [
      for rule in google_storage_bucket.this.lifecycle_rule : [one(rule.condition).age, one(rule.action).type]
    ] == [[30, "Delete"]]
    error_message = "A run goes after a month."
  }

  assert {
    condition     = output.runs_uri == "gs://acme-millrace-reconcile/runs"
    error_message = "The tasks need the address."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name            = "Acme.Bucket"
    expiration_days = 1
  }

  expect_failures = [var.name, var.expiration_days]
}
