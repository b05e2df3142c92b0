"""The API: questions and answers that are typed, asked over HTTP or in this process."""
