# A service, not a worker pool: Pub/Sub calls it, and Cloud Run starts as many instances as the messages want.
resource "google_cloud_run_v2_service" "this" {
  project             = var.runtime.project
  name                = var.name
  location            = var.runtime.region
  description         = "Takes change events that Pub/Sub pushes, and appends them to the raw tables."
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  custom_audiences    = [var.audience]
  deletion_protection = var.runtime.deletion_protection
  labels              = var.runtime.labels

  template {
    service_account                  = var.runtime.service_account_email
    labels                           = var.runtime.labels
    timeout                          = "${var.request_timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = var.instances.minimum
      max_instance_count = var.instances.maximum
    }

    containers {
      name  = "ingest"
      image = var.runtime.image
      args  = ["run"]

      ports {
        container_port = 8080
      }

      resources {
        # Appends, watermarks and traces go on between two requests.
        cpu_idle          = false
        startup_cpu_boost = true

        limits = {
          cpu    = var.runtime.limits.cpu
          memory = var.runtime.limits.memory
        }
      }

      # No message is sent to an instance before it is connected to BigQuery.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 1
        failure_threshold = 60

        http_get {
          path = "/readyz"
        }
      }

      # Only a process that does not answer any more is replaced: one that is not ready says 503 to Pub/Sub by itself.
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/healthz"
        }
      }

      dynamic "env" {
        for_each = merge(var.runtime.env, {
          MILLRACE_INGEST_TRANSPORT            = "push"
          MILLRACE_INGEST_PUSH_AUDIENCE        = var.audience
          MILLRACE_INGEST_PUSH_SERVICE_ACCOUNT = google_service_account.push.email
        })

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.runtime.secret_env

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
    }
  }
}

# Whom Pub/Sub calls as: an account that may do nothing else.
resource "google_service_account" "push" {
  project      = var.project
  account_id   = var.push_account_id
  display_name = "Millrace: ${var.push_account_id}"
  description  = "Pub/Sub signs its requests to the ingester as this account."
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  project  = var.runtime.project
  location = var.runtime.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Without it Pub/Sub's own account cannot sign as the other, and nothing is delivered.
resource "google_service_account_iam_member" "token_creator" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
