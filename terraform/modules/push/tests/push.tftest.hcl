variables {
  project        = "acme-millrace"
  project_number = "123456789012"

  runtime = {
    project               = "acme-millrace"
    region                = "europe-west1"
    image                 = "europe-west1-docker.pkg.dev/acme-millrace/millrace/ingest@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    service_account_email = "millrace-ingest@acme-millrace.iam.gserviceaccount.com"
    env                   = { MILLRACE_PROJECT = "acme-millrace" }
    secret_env            = { MILLRACE_API_TOKEN = "millrace-api-token" }
  }
}

run "only_pub_sub_may_call_it_and_it_is_probed" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "Nobody outside the project has business with it."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.push.role == "roles/run.invoker"
    error_message = "Pub/Sub's account must be able to call the service."
  }

  assert {
    condition     = google_service_account_iam_member.token_creator.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub must be able to sign as the account."
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].startup_probe[0].http_get[0].path == "/readyz" && google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe[0].http_get[0].path == "/healthz"
    error_message = "An instance gets messages once it is ready, and lives while it answers."
  }

  assert {
    condition = one([
      for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value if env.name == "MILLRACE_INGEST_PUSH_AUDIENCE"
    ]) == one(google_cloud_run_v2_service.this.custom_audiences)
    error_message = "Cloud Run and the ingester must expect the same audience."
  }

  assert {
    condition = alltrue([
      for env in google_cloud_run_v2_service.this.template[0].containers[0].env : !can(regex("TOKEN|SECRET|PASSWORD", env.name)) || length(env.value_source) == 1
    ])
    error_message = "No secret may stand in the environment as plain text."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    instances   = { minimum = 5, maximum = 1 }
    concurrency = 2000

    runtime = {
      project               = "acme-millrace"
      region                = "europe-west1"
      service_account_email = "millrace@acme-millrace.iam.gserviceaccount.com"
      image                 = "europe-west1-docker.pkg.dev/acme-millrace/millrace/ingest:latest"
    }

  }

  expect_failures = [var.runtime, var.instances, var.concurrency]
}
