variables {
  project  = "acme-millrace"
  name     = "acme-millrace-oversize"
  location = "EU"
}

run "nobody_outside_can_read_it_and_nothing_is_lost_by_mistake" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.uniform_bucket_level_access && google_storage_bucket.this.public_access_prevention == "enforced"
    error_message = "The objects hold personal data: access goes by roles on the bucket alone, and never to the public."
  }

  assert {
    condition     = !google_storage_bucket.this.force_destroy && google_storage_bucket.this.soft_delete_policy[0].retention_duration_seconds >= 604800
    error_message = "Objects are the only copy of what fits no row."
  }

  assert {
    condition     = [for rule in google_storage_bucket.this.lifecycle_rule : one(rule.action).type] == ["SetStorageClass"]
    error_message = "While raw rows are kept for ever, nothing that they point to may be deleted."
  }

  assert {
    condition     = output.uri == "gs://acme-millrace-oversize"
    error_message = "The ingester needs the address."
  }
}

run "images_go_with_their_rows_and_the_bodies_of_dead_letters_stay" {
  command = plan

  variables {
    row_expiration_days = 92
    deletion_protection = false
  }

  assert {
    condition = [
      for rule in google_storage_bucket.this.lifecycle_rule : [one(rule.condition).age, one(rule.condition).matches_prefix] if one(rule.action).type == "Delete"
    ] == [[93, tolist(["rows/"])]]
    error_message = "Images must outlive the partition that points to them, by a day, and only they may be deleted."
  }

  assert {
    condition     = google_storage_bucket.this.force_destroy
    error_message = "Without protection the bucket must go with everything else."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name                = "Acme.Bucket"
    row_expiration_days = 0
  }

  expect_failures = [var.name, var.row_expiration_days]
}
