# What holds in every environment.

variables {
  project        = "acme-millrace"
  environment    = "production"
  region         = "europe-west1"
  location       = "EU"
  contracts_path = "../../../dbt_project/models/raw"
  api_base_url   = "https://members.acme.example"
  snapshot_uri   = "s3://acme-member-snapshots"
  images = {
    ingest    = "europe-west1-docker.pkg.dev/acme-millrace/millrace/ingest@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    pipeline  = "europe-west1-docker.pkg.dev/acme-millrace/millrace/pipeline@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    reconcile = "europe-west1-docker.pkg.dev/acme-millrace/millrace/reconcile@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }
}

run "contracts_become_resources_and_each_deployable_may_do_no_more_than_its_work" {
  command = plan

  assert {
    condition     = length(output.raw_tables) == 13 && contains(output.raw_tables, "member_transactions")
    error_message = "There must be the 13 raw tables of the contracts, not ${length(output.raw_tables)}."
  }

  assert {
    condition     = length(output.topics) == 14 && contains(output.topics, "loyalty.member.members") && contains(output.topics, "loyalty.member.notifications")
    error_message = "There must be a topic per table and the one of notifications, not ${length(output.topics)}."
  }

  assert {
    condition     = alltrue([for topic, subscription in output.subscriptions : subscription == "${topic}-ingest"]) && toset(keys(output.subscriptions)) == output.topics
    error_message = "Each topic's subscription must be its name and -ingest, as the ingester expects."
  }

  assert {
    condition     = output.dead_letter_subscription == "millrace-dead-letters-keep"
    error_message = "Dead letters need a subscription, or they are lost."
  }

  assert {
    condition     = toset(keys(output.datasets)) == toset(["raw", "structure", "snapshots", "refined", "analytics", "audit"])
    error_message = "There must be a dataset per zone."
  }

  assert {
    condition     = length([for grant in output.grants.ingest : grant if startswith(grant, "dataset ")]) == 2 && length([for grant in output.grants.ingest : grant if startswith(grant, "project ")]) == 0
    error_message = "The ingester writes raw and audit and has no role on the project."
  }

  assert {
    condition     = { for name, grants in output.grants : name => [for grant in grants : grant if startswith(grant, "bucket ")] if anytrue([for grant in grants : startswith(grant, "bucket ")]) } == { ingest = ["bucket acme-millrace-millrace-oversize roles/storage.objectUser"], reconcile = ["bucket acme-millrace-millrace-reconcile roles/storage.objectUser"] }
    error_message = "The ingester writes what fits no row and reconciliation its own files, and nobody else has a role on these buckets."
  }

  assert {
    condition     = output.oversize_uri == "gs://acme-millrace-millrace-oversize"
    error_message = "Operators need the bucket's address."
  }

  assert {
    condition     = contains(output.grants.pipeline, "dataset raw roles/bigquery.dataViewer")
    error_message = "The pipeline must not be able to write raw."
  }

  assert {
    condition     = [for grant in output.grants.reconcile : grant if endswith(grant, "dataEditor")] == ["dataset audit roles/bigquery.dataEditor"]
    error_message = "Reconciliation must not be able to write what it checks."
  }

  assert {
    condition     = length(output.grants.scheduler) == 0
    error_message = "The scheduler's account may start the jobs, which is granted on each of them, and nothing else."
  }
}

run "messages_can_be_pushed_instead_of_pulled" {
  command = plan

  variables {
    ingest_delivery      = "push"
    topic_retention_days = 7
  }

  assert {
    condition     = contains(output.deployables, "millrace-ingest") && length([for grant in output.grants.ingest : grant if startswith(grant, "subscription ")]) == 0
    error_message = "A service that is pushed to pulls nothing, and needs no role for it."
  }
}

run "the_first_apply_needs_no_images_and_cloud_storage_no_key" {
  command = plan

  variables {
    images       = null
    snapshot_uri = "gs://acme-member-snapshots"
  }

  assert {
    condition     = length(output.deployables) == 0 && endswith(output.registry, "/acme-millrace/millrace")
    error_message = "Without images there must be the registry and nothing that runs."
  }

  assert {
    condition     = keys(output.secrets) == ["MILLRACE_API_TOKEN"]
    error_message = "A gs:// address is read under the job's own account."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    project      = "Acme"
    environment  = "test"
    region       = "europe-west1-b"
    api_base_url = "http://members.acme.example"
    snapshot_uri = "/snapshots"
    lineage_env  = { OPENLINEAGE_API_KEY = "secret" }
  }

  expect_failures = [var.lineage_env, var.project, var.environment, var.region, var.api_base_url, var.snapshot_uri]
}
