variables {
  project        = "acme-millrace"
  project_number = "123456789012"
  topics         = ["loyalty.member.members"]

  persistence_regions = ["europe-west1"]
}

run "nothing_is_lost_while_the_ingester_is_away_and_messages_stay_where_they_may" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.ingest["loyalty.member.members"].message_retention_duration == "604800s" && google_pubsub_subscription.ingest["loyalty.member.members"].expiration_policy[0].ttl == ""
    error_message = "Messages wait for seven days, and the subscription never expires."
  }

  assert {
    condition     = google_pubsub_subscription.ingest["loyalty.member.members"].enable_message_ordering
    error_message = "Changes of one row must come in order."
  }

  assert {
    condition     = google_pubsub_subscription.ingest["loyalty.member.members"].dead_letter_policy[0].max_delivery_attempts == 100
    error_message = "An outage of BigQuery must not drain the stream into the dead letters."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.agent_publishes_dead_letters.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub's service account must be able to publish dead letters."
  }

  assert {
    condition     = google_pubsub_subscription_iam_member.agent_takes_dead_letters["loyalty.member.members"].role == "roles/pubsub.subscriber"
    error_message = "Pub/Sub's service account must be able to take messages from the subscription."
  }

  assert {
    condition     = google_pubsub_topic.events["loyalty.member.members"].message_storage_policy[0].allowed_persistence_regions == toset(["europe-west1"])
    error_message = "Messages must rest in the given regions only."
  }
}

run "subscriptions_are_pulled_and_topics_keep_nothing_unless_asked" {
  command = plan

  assert {
    condition     = length(google_pubsub_subscription.ingest["loyalty.member.members"].push_config) == 0 && google_pubsub_topic.events["loyalty.member.members"].message_retention_duration == null
    error_message = "Nothing is pushed, and nothing is kept after it was acknowledged, by default."
  }
}

run "pushing_is_signed" {
  command = plan

  variables {
    topic_retention_days = 7

    push = {
      endpoint              = "https://millrace-ingest-123456789012.europe-west1.run.app/push"
      service_account_email = "millrace-push@acme-millrace.iam.gserviceaccount.com"
      audience              = "millrace-ingest"
    }
  }

  assert {
    condition     = google_pubsub_subscription.ingest["loyalty.member.members"].push_config[0].oidc_token[0].audience == "millrace-ingest"
    error_message = "The ingester refuses a request whose token is of another audience."
  }

  assert {
    condition     = google_pubsub_topic.events["loyalty.member.members"].message_retention_duration == "604800s"
    error_message = "A week can be replayed."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    topic_retention_days   = 32
    push                   = { endpoint = "http://x", service_account_email = "x", audience = "x" }
    topics                 = ["google-is-reserved"]
    ack_deadline_seconds   = 5
    message_retention_days = 32
    max_delivery_attempts  = 4
    retry_backoff_seconds  = { minimum = 60, maximum = 10 }
  }

  expect_failures = [
    var.topics,
    var.topic_retention_days,
    var.push,
    var.ack_deadline_seconds,
    var.message_retention_days,
    var.max_delivery_attempts,
    var.retry_backoff_seconds,
  ]
}
