;; The LZ4 block format, decompressed: see src/codec/lz4.ts, which says what it is and does the same without WebAssembly.
;; Nothing is read before or behind the input, and nothing is written before or behind the output, whatever the input says.
(module
  (import "engine" "memory" (memory 1 65536 shared))

  ;; Input [$in, $inEnd), output [$out, $outEnd), byte offsets into the memory. 1: the input was a block of exactly so many bytes.
  ;; 0: it was not, and the output is partly written.
  (func (export "decompress")
    (param $in i32) (param $inEnd i32) (param $out i32) (param $outEnd i32) (result i32)
    (local $start i32) (local $token i32) (local $length i32) (local $more i32) (local $from i32) (local $end i32)
    (local.set $start (local.get $out))
    (loop $sequence
      (if (i32.ge_u (local.get $in) (local.get $inEnd)) (then (return (i32.const 0))))
      (local.set $token (i32.load8_u (local.get $in)))
      (local.set $in (i32.add (local.get $in) (i32.const 1)))
      (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
      (block $matched
        (block $general
          ;; Few literals and room on both sides: 16 bytes at once, of which the next sequence overwrites what is too much.
          (br_if $general (i32.eq (local.get $length) (i32.const 15)))
          (br_if $general (i32.lt_u (i32.sub (local.get $inEnd) (local.get $in)) (i32.const 18)))
          (br_if $general (i32.lt_u (i32.sub (local.get $outEnd) (local.get $out)) (i32.const 48)))
          (v128.store align=1 (local.get $out) (v128.load align=1 (local.get $in)))
          (local.set $in (i32.add (local.get $in) (local.get $length)))
          (local.set $out (i32.add (local.get $out) (local.get $length)))
          (br $matched))
        (if (i32.eq (local.get $length) (i32.const 15))
          (then
            (loop $longer
              (if (i32.ge_u (local.get $in) (local.get $inEnd)) (then (return (i32.const 0))))
              (local.set $more (i32.load8_u (local.get $in)))
              (local.set $in (i32.add (local.get $in) (i32.const 1)))
              (local.set $length (i32.add (local.get $length) (local.get $more)))
              (br_if $longer (i32.eq (local.get $more) (i32.const 255))))))
        (if (i32.gt_u (local.get $length) (i32.sub (local.get $inEnd) (local.get $in))) (then (return (i32.const 0))))
        (if (i32.gt_u (local.get $length) (i32.sub (local.get $outEnd) (local.get $out))) (then (return (i32.const 0))))
        (memory.copy (local.get $out) (local.get $in) (local.get $length))
        (local.set $in (i32.add (local.get $in) (local.get $length)))
        (local.set $out (i32.add (local.get $out) (local.get $length)))
        (if (i32.eq (local.get $in) (local.get $inEnd))
          (then (return (i32.eq (local.get $out) (local.get $outEnd)))))
        (if (i32.lt_u (i32.sub (local.get $inEnd) (local.get $in)) (i32.const 2)) (then (return (i32.const 0)))))
      ;; The match: how far back, how long.
      (local.set $more (i32.load16_u align=1 (local.get $in)))
      (local.set $in (i32.add (local.get $in) (i32.const 2)))
      (if (i32.eqz (local.get $more)) (then (return (i32.const 0))))
      (if (i32.gt_u (local.get $more) (i32.sub (local.get $out) (local.get $start))) (then (return (i32.const 0))))
      (local.set $from (i32.sub (local.get $out) (local.get $more)))
      (local.set $length (i32.add (i32.and (local.get $token) (i32.const 15)) (i32.const 4)))
      ;; Short, far enough back and room behind: 18 bytes at once.
      (if (i32.and
            (i32.and (i32.ne (local.get $length) (i32.const 19)) (i32.ge_u (local.get $more) (i32.const 16)))
            (i32.ge_u (i32.sub (local.get $outEnd) (local.get $out)) (i32.const 20)))
        (then
          (v128.store align=1 (local.get $out) (v128.load align=1 (local.get $from)))
          (i32.store16 offset=16 align=1 (local.get $out) (i32.load16_u offset=16 align=1 (local.get $from)))
          (local.set $out (i32.add (local.get $out) (local.get $length)))
          (br $sequence)))
      (if (i32.eq (local.get $length) (i32.const 19))
        (then
          (loop $longer
            (if (i32.ge_u (local.get $in) (local.get $inEnd)) (then (return (i32.const 0))))
            (local.set $token (i32.load8_u (local.get $in)))
            (local.set $in (i32.add (local.get $in) (i32.const 1)))
            (local.set $length (i32.add (local.get $length) (local.get $token)))
            (br_if $longer (i32.eq (local.get $token) (i32.const 255))))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $outEnd) (local.get $out))) (then (return (i32.const 0))))
      (local.set $end (i32.add (local.get $out) (local.get $length)))
      ;; What was just written is read again where both overlap: not sooner than eight bytes later.
      (if (i32.and
            (i32.ge_u (local.get $more) (i32.const 8))
            (i32.ge_u (i32.sub (local.get $outEnd) (local.get $end)) (i32.const 8)))
        (then
          (loop $wide
            (i64.store align=1 (local.get $out) (i64.load align=1 (local.get $from)))
            (local.set $out (i32.add (local.get $out) (i32.const 8)))
            (local.set $from (i32.add (local.get $from) (i32.const 8)))
            (br_if $wide (i32.lt_u (local.get $out) (local.get $end)))))
        (else
          (loop $narrow
            (i32.store8 (local.get $out) (i32.load8_u (local.get $from)))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br_if $narrow (i32.lt_u (local.get $out) (local.get $end))))))
      (local.set $out (local.get $end))
      (br $sequence))
    (unreachable)))
