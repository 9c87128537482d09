import type { RateLimiter } from '@evenkeel/rate-limiter'
import {
  type CanActivate,
  type ExecutionContext,
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
} from '@nestjs/common'
import type { Request, Response } from 'express'
import { LIMITER } from './tokens.js'

export type ChatLimiter = RateLimiter<'requests'>

/** Admits a caller's request, or answers 429 with Retry-After. It does not check the API key. */
@Injectable()
export class LimitGuard implements CanActivate {
  constructor(@Inject(LIMITER) private readonly limiter: ChatLimiter) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp()
    const { allowed, retryAfterMs } = await this.limiter.check(callerOf(http.getRequest<Request>()))
    if (allowed) return true
    http.getResponse<Response>().setHeader('Retry-After', Math.ceil(retryAfterMs / 1_000))
    throw new HttpException('Too many requests', HttpStatus.TOO_MANY_REQUESTS)
  }
}

/** The caller's API key, or the address of a caller without one. */
export function callerOf(request: Request): string {
  return request.get('x-api-key') ?? request.ip ?? 'unknown'
}
