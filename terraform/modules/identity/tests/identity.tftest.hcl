variables {
  project     = "acme-millrace"
  account_id  = "millrace-test"
  description = "A test."
}

run "primitive_and_administrative_roles_are_refused" {
  command = plan

  variables {
    account_id    = "Millrace"
    project_roles = ["roles/editor"]

    project_permissions = ["bigquery.jobs.listAll"]
    dataset_roles       = { raw = "roles/bigquery.dataOwner" }
    bucket_roles        = { oversize = "roles/storage.admin" }
  }

  expect_failures = [var.account_id, var.project_roles, var.project_permissions, var.dataset_roles, var.bucket_roles]
}

run "every_grant_is_told" {
  command = plan

  variables {
    project_roles  = ["roles/bigquery.jobUser"]
    dataset_roles  = { audit = "roles/bigquery.dataEditor" }
    subscriptions  = { members = "members-ingest" }
    publish_topics = { dead_letters = "dead-letters" }
    bucket_roles   = { oversize = "roles/storage.objectUser" }
    secrets        = { TOKEN = "token" }

    project_permissions = ["bigquery.jobs.list"]
  }

  assert {
    condition = output.grants == tolist([
      "bucket oversize roles/storage.objectUser",
      "dataset audit roles/bigquery.dataEditor",
      "project permission bigquery.jobs.list",
      "project roles/bigquery.jobUser",
      "secret token roles/secretmanager.secretAccessor",
      "subscription members-ingest roles/pubsub.subscriber",
      "subscription members-ingest roles/pubsub.viewer",
      "topic dead-letters roles/pubsub.publisher",
    ])
    error_message = "The output must list every role: ${join(", ", output.grants)}"
  }

  assert {
    condition = (
      google_project_iam_custom_role.this[0].role_id == "millrace_test"
      && google_project_iam_custom_role.this[0].permissions == toset(["bigquery.jobs.list"])
    )
    error_message = "The account's own role holds the permission, and nothing else."
  }

  assert {
    condition     = google_pubsub_subscription_iam_member.subscriber["members"].subscription == "members-ingest"
    error_message = "The role must be on the one subscription."
  }
}
