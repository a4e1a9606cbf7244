variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "project_number" {
  description = "Number of that project; Pub/Sub's own service account carries it."
  type        = string
}

variable "topics" {
  description = "Topics whose messages are ingested: one per table, and those of notifications."
  type        = set(string)

  validation {
    condition     = alltrue([for topic in var.topics : can(regex("^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$", topic)) && !startswith(topic, "goog")])
    error_message = "A topic is 3 to 255 letters, digits and . _ ~ + % -, starts with a letter and not with goog."
  }
}

variable "subscription_suffix" {
  description = "A topic's subscription is the topic's name and this suffix; the ingester's MILLRACE_SUBSCRIPTION_SUFFIX."
  type        = string
  default     = "-ingest"
}

variable "dead_letter_topic" {
  description = "Topic that takes what cannot be landed; the ingester's MILLRACE_DEAD_LETTER_TOPIC."
  type        = string
  default     = "millrace-dead-letters"
}

variable "ack_deadline_seconds" {
  description = "Lease of a delivered message; the ingester extends it while it works."
  type        = number
  default     = 60

  validation {
    condition     = var.ack_deadline_seconds >= 10 && var.ack_deadline_seconds <= 600
    error_message = "Pub/Sub takes 10 to 600 seconds."
  }
}

variable "message_retention_days" {
  description = "How long an unacknowledged message waits for the ingester: the longest outage without loss."
  type        = number
  default     = 7

  validation {
    condition     = var.message_retention_days >= 1 && var.message_retention_days <= 31
    error_message = "Pub/Sub keeps messages of a subscription for at most 31 days."
  }
}

variable "topic_retention_days" {
  description = "How long topics keep what was published, for `ingest replay`; 0 keeps nothing, and costs nothing."
  type        = number
  default     = 0

  validation {
    condition     = var.topic_retention_days >= 0 && var.topic_retention_days <= 31 && floor(var.topic_retention_days) == var.topic_retention_days
    error_message = "Pub/Sub keeps messages of a topic for at most 31 days; give whole days."
  }
}

variable "push" {
  description = "Where the subscriptions push to, and as whom; null leaves them to be pulled."
  type = object({
    endpoint              = string
    service_account_email = string
    audience              = string
  })
  default = null

  validation {
    condition     = var.push == null || can(regex("^https://", var.push.endpoint))
    error_message = "Messages hold personal data: push to https only."
  }
}

variable "max_delivery_attempts" {
  description = "Deliveries after which Pub/Sub itself gives a message up. The ingester sorts poison out on its own, so this only guards against a message that kills it; a low number would drain the stream into the dead letters while BigQuery is away."
  type        = number
  default     = 100

  validation {
    condition     = var.max_delivery_attempts >= 5 && var.max_delivery_attempts <= 100
    error_message = "Pub/Sub takes 5 to 100 attempts."
  }
}

variable "retry_backoff_seconds" {
  description = "Shortest and longest wait before a message that was given back comes again."
  type = object({
    minimum = number
    maximum = number
  })
  default = { minimum = 10, maximum = 600 }

  validation {
    condition     = var.retry_backoff_seconds.minimum >= 0 && var.retry_backoff_seconds.minimum <= var.retry_backoff_seconds.maximum && var.retry_backoff_seconds.maximum <= 600
    error_message = "Pub/Sub takes 0 to 600 seconds, and the minimum may not exceed the maximum."
  }
}

variable "persistence_regions" {
  description = "Regions in which messages may be stored; empty leaves it to the organisation's policy."
  type        = list(string)
  default     = []
}

variable "labels" {
  description = "Labels of every resource."
  type        = map(string)
  default     = {}
}
