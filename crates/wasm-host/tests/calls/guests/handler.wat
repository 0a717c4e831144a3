;; A handler by hand: it takes the request and does what a test puts in at the end of the main module, in a function that has
;; (param $request i32) (param $out i32) (local $i i32). The helpers below answer and write.
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $io-error (type $io-error))
    (export "error" (type $error (eq $io-error)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output-stream)) (param "contents" (list u8))
        (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $incoming-request (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "outgoing-body" (type $outgoing-body (sub resource)))
    (export "outgoing-request" (type $outgoing-request (sub resource)))
    (export "request-options" (type $request-options (sub resource)))
    (export "future-incoming-response" (type $future-incoming-response (sub resource)))
    (alias outer 1 $output-stream (type $output-stream'))
    (export "output-stream" (type $output-stream (eq $output-stream')))
    (export "trailers" (type $trailers (eq $fields)))
    (export "headers" (type $headers (eq $fields)))
    (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size')))
    (type $error-code' (variant
      (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found") (case "destination-unavailable")
      (case "destination-IP-prohibited") (case "destination-IP-unroutable") (case "connection-refused")
      (case "connection-terminated") (case "connection-timeout") (case "connection-read-timeout")
      (case "connection-write-timeout") (case "connection-limit-reached") (case "TLS-protocol-error")
      (case "TLS-certificate-error") (case "TLS-alert-received" $tls) (case "HTTP-request-denied")
      (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $header-error' (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
    (export "header-error" (type $header-error (eq $header-error')))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append"
      (func (param "self" (borrow $fields)) (param "name" string) (param "value" (list u8))
        (result (result (error $header-error)))))
    (export "[constructor]outgoing-response"
      (func (param "headers" (own $headers)) (result (own $outgoing-response))))
    (export "[method]outgoing-response.set-status-code"
      (func (param "self" (borrow $outgoing-response)) (param "status-code" u16) (result (result))))
    (export "[method]outgoing-response.body"
      (func (param "self" (borrow $outgoing-response)) (result (result (own $outgoing-body)))))
    (export "[static]response-outparam.set"
      (func (param "param" (own $response-outparam))
        (param "response" (result (own $outgoing-response) (error $error-code)))))
    (export "[method]outgoing-body.write"
      (func (param "self" (borrow $outgoing-body)) (result (result (own $output-stream)))))
    (export "[static]outgoing-body.finish"
      (func (param "this" (own $outgoing-body)) (param "trailers" (option (own $trailers)))
        (result (result (error $error-code)))))
    (export "[constructor]outgoing-request"
      (func (param "headers" (own $headers)) (result (own $outgoing-request))))
    (export "[method]outgoing-request.body"
      (func (param "self" (borrow $outgoing-request)) (result (result (own $outgoing-body)))))
    (export "[method]outgoing-request.set-authority"
      (func (param "self" (borrow $outgoing-request)) (param "authority" (option string)) (result (result))))
    (export "[method]outgoing-request.set-path-with-query"
      (func (param "self" (borrow $outgoing-request)) (param "path-with-query" (option string)) (result (result))))))
  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))
  (alias export $types "outgoing-request" (type $outgoing-request))
  (alias export $types "request-options" (type $request-options))
  (alias export $types "future-incoming-response" (type $future-incoming-response))
  (alias export $types "error-code" (type $error-code))
  (import "wasi:http/outgoing-handler@0.2.0" (instance $outgoing
    (alias outer 1 $outgoing-request (type $outgoing-request'))
    (export "outgoing-request" (type $outgoing-request (eq $outgoing-request')))
    (alias outer 1 $request-options (type $request-options'))
    (export "request-options" (type $request-options (eq $request-options')))
    (alias outer 1 $future-incoming-response (type $future'))
    (export "future-incoming-response" (type $future (eq $future')))
    (alias outer 1 $error-code (type $error-code'))
    (export "error-code" (type $error-code (eq $error-code')))
    (export "handle"
      (func (param "request" (own $outgoing-request)) (param "options" (option (own $request-options)))
        (result (result (own $future) (error $error-code)))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 32768)
    (data (i32.const 0) "content-length\00\00")
    (data (i32.const 16) "5")
    (data (i32.const 20) "x-trailer")
    (data (i32.const 32) "hello")
    (data (i32.const 48) "a.example")
    (data (i32.const 64) "http://b.example/")
    (data (i32.const 96) "/path"))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core func $new-fields (canon lower (func $types "[constructor]fields")))
  (core func $append (canon lower (func $types "[method]fields.append") (memory $mem)))
  (core func $new-response (canon lower (func $types "[constructor]outgoing-response")))
  (core func $set-status (canon lower (func $types "[method]outgoing-response.set-status-code")))
  (core func $response-body (canon lower (func $types "[method]outgoing-response.body") (memory $mem)))
  (core func $set (canon lower (func $types "[static]response-outparam.set") (memory $mem) (realloc $realloc)))
  (core func $write (canon lower (func $types "[method]outgoing-body.write") (memory $mem)))
  (core func $finish (canon lower (func $types "[static]outgoing-body.finish") (memory $mem) (realloc $realloc)))
  (core func $blocking-write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $drop-stream (canon resource.drop $output-stream))
  (core func $new-request (canon lower (func $types "[constructor]outgoing-request")))
  (core func $request-body (canon lower (func $types "[method]outgoing-request.body") (memory $mem)))
  (core func $set-authority (canon lower (func $types "[method]outgoing-request.set-authority") (memory $mem)))
  (core func $set-path (canon lower (func $types "[method]outgoing-request.set-path-with-query") (memory $mem)))
  (core func $send (canon lower (func $outgoing "handle") (memory $mem) (realloc $realloc)))
  (core module $main
    (import "env" "memory" (memory 1))
    (import "host" "new-fields" (func $new-fields (result i32)))
    (import "host" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
    (import "host" "new-response" (func $new-response (param i32) (result i32)))
    (import "host" "set-status" (func $set-status (param i32 i32) (result i32)))
    (import "host" "response-body" (func $response-body (param i32 i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32)))
    (import "host" "finish" (func $finish (param i32 i32 i32 i32)))
    (import "host" "blocking-write" (func $blocking-write (param i32 i32 i32 i32)))
    (import "host" "drop-stream" (func $drop-stream (param i32)))
    (import "host" "new-request" (func $new-request (param i32) (result i32)))
    (import "host" "request-body" (func $request-body (param i32 i32)))
    (import "host" "set-authority" (func $set-authority (param i32 i32 i32 i32) (result i32)))
    (import "host" "set-path" (func $set-path (param i32 i32 i32 i32) (result i32)))
    (import "host" "send" (func $send (param i32 i32 i32 i32)))
    (global $body (mut i32) (i32.const 0))
    (global $stream (mut i32) (i32.const 0))

    ;; Header fields, with `content-length: 5` as often as is said.
    (func $fields (param $lengths i32) (result i32)
      (local $fields i32)
      (local.set $fields (call $new-fields))
      (block $done
        (loop $more
          (br_if $done (i32.eqz (local.get $lengths)))
          (call $append (local.get $fields) (i32.const 0) (i32.const 14) (i32.const 16) (i32.const 1) (i32.const 1024))
          (local.set $lengths (i32.sub (local.get $lengths) (i32.const 1)))
          (br $more)))
      (local.get $fields))

    ;; Answers with a status, opens the body and its stream.
    (func $answer (param $out i32) (param $status i32) (param $lengths i32)
      (local $response i32)
      (local.set $response (call $new-response (call $fields (local.get $lengths))))
      (drop (call $set-status (local.get $response) (local.get $status)))
      (call $response-body (local.get $response) (i32.const 1024))
      (global.set $body (i32.load (i32.const 1028)))
      (call $write (global.get $body) (i32.const 1024))
      (global.set $stream (i32.load (i32.const 1028)))
      (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))

    ;; Writes "hello".
    (func $hello
      (call $blocking-write (global.get $stream) (i32.const 32) (i32.const 5) (i32.const 1024)))

    ;; Writes it four times. The host holds two pieces: the last is written when the reader has begun to read.
    (func $hellos (call $hello) (call $hello) (call $hello) (call $hello))

    ;; Ends the body.
    (func $end
      (call $drop-stream (global.get $stream))
      (call $finish (global.get $body) (i32.const 0) (i32.const 0) (i32.const 1024)))

    ;; Ends the body with the trailers `content-length: 5` and `x-trailer: 5`.
    (func $end-with-trailers
      (local $fields i32)
      (local.set $fields (call $fields (i32.const 1)))
      (call $append (local.get $fields) (i32.const 20) (i32.const 9) (i32.const 16) (i32.const 1) (i32.const 1024))
      (call $drop-stream (global.get $stream))
      (call $finish (global.get $body) (i32.const 1) (local.get $fields) (i32.const 1024)))

    ;; A request to a.example/path with a body that is begun, being read and not finished.
    (func $upload
      (local $request i32)
      (local.set $request (call $new-request (call $fields (i32.const 0))))
      (drop (call $set-authority (local.get $request) (i32.const 1) (i32.const 48) (i32.const 9)))
      (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 96) (i32.const 5)))
      (call $request-body (local.get $request) (i32.const 1024))
      (global.set $body (i32.load (i32.const 1028)))
      (call $write (global.get $body) (i32.const 1024))
      (global.set $stream (i32.load (i32.const 1028)))
      (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 1024))
      (call $hellos))

    ;; A request without body to a.example/path. 0 where the host took it.
    (func $get (result i32)
      (local $request i32)
      (local.set $request (call $new-request (call $fields (i32.const 0))))
      (drop (call $set-authority (local.get $request) (i32.const 1) (i32.const 48) (i32.const 9)))
      (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 96) (i32.const 5)))
      (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 1024))
      (i32.load8_u (i32.const 1024)))

    ;; 0 where the host takes this path of a request.
    (func $path (param $at i32) (param $length i32) (result i32)
      (call $set-path (call $new-request (call $fields (i32.const 0)))
        (i32.const 1) (local.get $at) (local.get $length)))

    (func (export "handle") (param $request i32) (param $out i32)
      (local $i i32)
      BODY))
  (core instance $main (instantiate $main
    (with "env" (instance (export "memory" (memory $mem))))
    (with "host" (instance
      (export "new-fields" (func $new-fields)) (export "append" (func $append))
      (export "new-response" (func $new-response)) (export "set-status" (func $set-status))
      (export "response-body" (func $response-body)) (export "set" (func $set)) (export "write" (func $write))
      (export "finish" (func $finish)) (export "blocking-write" (func $blocking-write))
      (export "drop-stream" (func $drop-stream)) (export "new-request" (func $new-request))
      (export "request-body" (func $request-body)) (export "set-authority" (func $set-authority))
      (export "set-path" (func $set-path)) (export "send" (func $send))))))
  (func $handle (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))
    (canon lift (core func $main "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
