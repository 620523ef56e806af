/* What truth_server.c says and understands: text of the OpenAI API as vLLM writes it. No sockets, no clock. */
#ifndef OPENAI_TEXT_H
#define OPENAI_TEXT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CHUNK_BYTES = 320, /* no chunk is longer */
    MOST_TOKENS = 1000000,
    MOST_BODY_BYTES = 1 << 24,
    CHAT_TOKENS = 8, /* of the chat template, on top of the words */
};

/* A request, and what names its answer. */
struct asked {
    uint64_t id;
    int64_t created_s;
    uint32_t tokens, prompt_tokens;
    bool is_chat, streams, wants_usage;
};

/* Escapes, two-byte characters and text that looks like the protocol: who does not parse is found out. */
static const char *const WORDS[] = {" the",     " answer",    " is",  " forty", "-two",      ".",
                                    "\\n\\n", " data: {}", " café", " token", " [DONE]", " \\\"quoted\\\""};

static const char ROLE[] = "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                           "\"logprobs\":null,\"finish_reason\":null}],\"prompt_token_ids\":null";

/* One event in an HTTP chunk of its own; returns its length [bytes]. */
static size_t event_text(char *to, const struct asked *asked, const char *rest) {
    char data[CHUNK_BYTES];
    int bytes = snprintf(data, sizeof data,
                         "data: {\"id\":\"%s-%016" PRIx64 "\",\"object\":\"%s\",\"created\":%" PRId64
                         ",\"model\":\"truth\",%s}\n\n",
                         asked->is_chat ? "chatcmpl" : "cmpl", asked->id,
                         asked->is_chat ? "chat.completion.chunk" : "text_completion", asked->created_s, rest);
    return (size_t)sprintf(to, "%x\r\n%s\r\n", (unsigned)bytes, data);
}

/* The first chunk of a chat: who speaks, and no token. */
static size_t role_text(char *to, const struct asked *asked) { return event_text(to, asked, ROLE); }

/* Token number `token`, counted from 0; the last says why the answer ends. */
static size_t token_text(char *to, const struct asked *asked, uint32_t token) {
    char rest[CHUNK_BYTES / 2];
    const char *word = WORDS[(token + asked->id) % (sizeof WORDS / sizeof *WORDS)];
    const char *end = token + 1 == asked->tokens ? "\"length\",\"stop_reason\":null"
                      : asked->is_chat           ? "null"
                                                 : "null,\"stop_reason\":null";
    snprintf(rest, sizeof rest,
             asked->is_chat ? "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,"
                              "\"finish_reason\":%s,\"token_ids\":null}]"
                            : "\"choices\":[{\"index\":0,\"text\":\"%s\",\"logprobs\":null,\"finish_reason\":%s,"
                              "\"prompt_token_ids\":null,\"token_ids\":null}]",
             word, end);
    return event_text(to, asked, rest);
}

/* What follows the last token: usage where it was asked for, [DONE], and the end of the HTTP body. */
static size_t end_text(char *to, const struct asked *asked) {
    char rest[CHUNK_BYTES / 2];
    size_t bytes = 0;
    if (asked->wants_usage) {
        snprintf(rest, sizeof rest,
                 "\"choices\":[],\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u,\"completion_tokens\":%u}",
                 asked->prompt_tokens, asked->prompt_tokens + asked->tokens, asked->tokens);
        bytes = event_text(to, asked, rest);
    }
    return bytes + (size_t)sprintf(to + bytes, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* Length of a request's body [bytes], more than MOST_BODY_BYTES where the head does not tell it; and whether the
 * client wants the connection closed. */
static size_t body_bytes_of(const char *head, const char *head_end, bool *closes) {
    size_t body = 0;
    for (const char *line = head; line < head_end; line = (const char *)rawmemchr(line, '\n') + 1) {
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
        if (!strncasecmp(line, "transfer-encoding:", 18)) body = MOST_BODY_BYTES + 1;
        if (!strncasecmp(line, "connection: close", 17)) *closes = true;
    }
    return body;
}

/* Walks a JSON body once. Counts the words of every "content", "text" and "prompt", or the numbers of a "prompt" of
 * token ids, and reads the few options that matter. A string is a key where a colon follows it, whatever it says.
 *
 * The body must end with a zero byte, behind `end`. */
static void read_body(struct asked *asked, const char *at, const char *end) {
    char key[24] = "";
    bool counts_ids = false;
    asked->prompt_tokens = asked->is_chat ? CHAT_TOKENS : 0;
    asked->tokens = 16; /* vLLM's default for completions */
    asked->streams = asked->wants_usage = false;
    for (; at < end; at++) {
        if (*at == '"') {
            const char *start = ++at;
            uint32_t words = 0;
            for (bool in_word = false; at < end && *at != '"'; at++) {
                bool is_space = *at == ' ';
                if (*at == '\\' && ++at < end) is_space = *at == 'n' || *at == 't' || *at == 'r';
                words += !is_space && !in_word;
                in_word = !is_space;
            }
            const char *after = at + 1;
            while (after < end && strchr(" \n\r\t", *after)) after++;
            if (after < end && *after == ':') {
                snprintf(key, sizeof key, "%.*s", at - start < 23 ? (int)(at - start) : 23, start);
                at = after;
                continue;
            }
            bool is_prompt = !strcmp(key, "content") || !strcmp(key, "text") || !strcmp(key, "prompt");
            if (is_prompt) asked->prompt_tokens += words;
        } else if (*at == '[') {
            counts_ids = !strcmp(key, "prompt");
        } else if (*at == ']') {
            counts_ids = false;
        } else if (*at >= '0' && *at <= '9') {
            char *rest;
            unsigned long number = strtoul(at, &rest, 10);
            if (!strcmp(key, "max_tokens") || !strcmp(key, "max_completion_tokens"))
                asked->tokens = number > MOST_TOKENS ? MOST_TOKENS : (uint32_t)number;
            asked->prompt_tokens += counts_ids;
            at = rest - 1;
        } else if (*at == 't') {
            if (!strcmp(key, "stream")) asked->streams = true;
            if (!strcmp(key, "include_usage")) asked->wants_usage = true;
        }
    }
}

#endif
