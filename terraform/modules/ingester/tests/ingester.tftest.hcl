variables {
  instances = 2

  runtime = {
    project               = "acme-millrace"
    region                = "europe-west1"
    image                 = "europe-west1-docker.pkg.dev/acme-millrace/millrace/ingest@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    service_account_email = "millrace-ingest@acme-millrace.iam.gserviceaccount.com"
    env                   = { MILLRACE_PROJECT = "acme-millrace" }
    secret_env            = { MILLRACE_API_TOKEN = "millrace-api-token" }
  }
}

run "it_runs_all_the_time_under_its_own_account_with_the_token_from_secret_manager" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_worker_pool.this.scaling[0].manual_instance_count == 2
    error_message = "The instances asked for must run at all times."
  }

  assert {
    condition     = google_cloud_run_v2_worker_pool.this.template[0].service_account == var.runtime.service_account_email
    error_message = "The default account may do far too much."
  }

  assert {
    condition = one([
      for env in google_cloud_run_v2_worker_pool.this.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].secret if env.name == "MILLRACE_API_TOKEN"
    ]) == "millrace-api-token"
    error_message = "The token must be a reference to the secret."
  }

  assert {
    condition = alltrue([
      for env in google_cloud_run_v2_worker_pool.this.template[0].containers[0].env : !can(regex("TOKEN|SECRET|PASSWORD", env.name)) || length(env.value_source) == 1
    ])
    error_message = "No secret may stand in the environment as plain text."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    instances = 1.5

    runtime = {
      project               = "acme-millrace"
      region                = "europe-west1"
      service_account_email = "millrace@acme-millrace.iam.gserviceaccount.com"
      image                 = "europe-west1-docker.pkg.dev/acme-millrace/millrace/ingest:latest"
    }

  }

  expect_failures = [var.runtime, var.instances]
}
