locals {
  pubsub_agent = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  day_seconds  = 86400
}

resource "google_pubsub_topic" "events" {
  for_each = var.topics

  project = var.project
  name    = each.value
  labels  = var.labels

  # What `ingest replay` can bring back, whether or not it was acknowledged.
  message_retention_duration = var.topic_retention_days > 0 ? "${var.topic_retention_days * local.day_seconds}s" : null

  dynamic "message_storage_policy" {
    for_each = length(var.persistence_regions) > 0 ? [var.persistence_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }
}

resource "google_pubsub_subscription" "ingest" {
  for_each = google_pubsub_topic.events

  project                    = var.project
  name                       = "${each.value.name}${var.subscription_suffix}"
  topic                      = each.value.id
  ack_deadline_seconds       = var.ack_deadline_seconds
  enable_message_ordering    = true
  message_retention_duration = "${var.message_retention_days * local.day_seconds}s"
  labels                     = var.labels

  # An idle subscription would otherwise vanish after 31 days, and every later message with it.
  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "${var.retry_backoff_seconds.minimum}s"
    maximum_backoff = "${var.retry_backoff_seconds.maximum}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = var.max_delivery_attempts
  }

  dynamic "push_config" {
    for_each = var.push[*]

    content {
      push_endpoint = push_config.value.endpoint

      oidc_token {
        service_account_email = push_config.value.service_account_email
        audience              = push_config.value.audience
      }
    }
  }
}

resource "google_pubsub_topic" "dead_letters" {
  project = var.project
  name    = var.dead_letter_topic
  labels  = var.labels

  dynamic "message_storage_policy" {
    for_each = length(var.persistence_regions) > 0 ? [var.persistence_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }
}

# A topic without a subscription drops what is published to it.
resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = "${google_pubsub_topic.dead_letters.name}-keep"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 600
  message_retention_duration = "${31 * local.day_seconds}s"
  labels                     = var.labels

  expiration_policy {
    ttl = ""
  }
}

# Dead-lettering is done by Pub/Sub's service account: without these two roles it is silently not done.
resource "google_pubsub_topic_iam_member" "agent_publishes_dead_letters" {
  project = var.project
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_takes_dead_letters" {
  for_each = google_pubsub_subscription.ingest

  project      = var.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
