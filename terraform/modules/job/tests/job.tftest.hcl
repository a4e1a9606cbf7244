variables {
  name                            = "millrace-pipeline"
  description                     = "Builds every zone."
  args                            = ["run", "--once"]
  scheduler_service_account_email = "millrace-scheduler@acme-millrace.iam.gserviceaccount.com"
  schedule                        = "*/5 * * * *"

  runtime = {
    project               = "acme-millrace"
    region                = "europe-west1"
    image                 = "europe-west1-docker.pkg.dev/acme-millrace/millrace/pipeline@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    service_account_email = "millrace-pipeline@acme-millrace.iam.gserviceaccount.com"
  }
}

run "the_scheduler_starts_one_task_of_this_job_and_nothing_else" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_job_iam_member.scheduler.role == "roles/run.invoker" && google_cloud_run_v2_job_iam_member.scheduler.name == "millrace-pipeline"
    error_message = "The scheduler's account must be invoker of this one job."
  }

  assert {
    condition     = google_cloud_scheduler_job.this.http_target[0].uri == "https://run.googleapis.com/v2/projects/acme-millrace/locations/europe-west1/jobs/millrace-pipeline:run"
    error_message = "The schedule must start the job: ${google_cloud_scheduler_job.this.http_target[0].uri}"
  }

  assert {
    condition     = google_cloud_scheduler_job.this.http_target[0].oauth_token[0].service_account_email == var.scheduler_service_account_email
    error_message = "Google's own APIs take an OAuth token, not an OIDC one."
  }

  assert {
    condition     = google_cloud_run_v2_job.this.template[0].parallelism == 1 && google_cloud_run_v2_job.this.template[0].task_count == 1
    error_message = "Two tasks would build the same zone at once."
  }
}

run "tasks_run_at_once_and_are_tried_again" {
  command = plan

  variables {
    name        = "millrace-reconcile"
    tasks       = 8
    max_retries = 2
  }

  assert {
    condition     = google_cloud_run_v2_job.this.template[0].task_count == 8 && google_cloud_run_v2_job.this.template[0].parallelism == 8
    error_message = "The tasks wait for the first one's plan: all of them must run at once."
  }

  assert {
    condition     = google_cloud_run_v2_job.this.template[0].template[0].max_retries == 2
    error_message = "A task that was killed does the rest when it is tried again."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name = "Pipeline"

    runtime = {
      project               = "acme-millrace"
      region                = "europe-west1"
      service_account_email = "millrace@acme-millrace.iam.gserviceaccount.com"
      image                 = "pipeline:latest"
    }

    timeout_seconds = 1
    schedule        = "every 5 minutes"
    tasks           = 0
  }

  expect_failures = [var.schedule, var.name, var.runtime, var.timeout_seconds, var.tasks]
}
